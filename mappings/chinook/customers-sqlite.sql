-- One row for each customer: id, name, e-mail.
select CustomerId as customer_id, FirstName || ' ' || LastName as name, Email as email, Company as company,
       Country as country
from Customer
order by CustomerId
