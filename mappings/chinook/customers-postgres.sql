-- One row for each customer, in the columns that `customers.toml` reads.
select customer_id as "CustomerId", first_name as "FirstName", last_name as "LastName", email as "Email",
       company as "Company", country as "Country"
from customer
order by customer_id
