-- One row for each customer: id, name, e-mail.
select customer_id, first_name || ' ' || last_name as name, email, company, country
from customer
order by customer_id
